"""What serving costs: in this process, and over HTTP."""
