"""What is computed from paths: measures, figures, reports, TensorBoard logs, local explanations. Importing it loads no
library."""
