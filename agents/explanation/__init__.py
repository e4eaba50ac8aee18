"""What is made of a path: measures, figures, the report, TensorBoard's pictures. Importing this loads no library."""
