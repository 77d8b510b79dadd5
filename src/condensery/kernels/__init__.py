"""Fast forward and backward passes of networks, compiled if it pays, and control of threads and memory."""
