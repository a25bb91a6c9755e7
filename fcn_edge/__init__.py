"""Networks and command line of fcn-edge."""
