"""Parts of the benchmark of ends on pictures: measures of ends, judges from outside, and white-box rivals."""
