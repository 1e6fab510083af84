"""Semi-supervised feature selection (UKDSL paper, 4.2): importance on both data sets, and rules that combine them."""
