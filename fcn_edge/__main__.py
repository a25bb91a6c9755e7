"""`python -m fcn_edge`: the same as `fcn-edge`."""

from fcn_edge.cli import main

main()
