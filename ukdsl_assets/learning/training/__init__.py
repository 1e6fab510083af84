"""How a network is trained: what rows teach each output, losses, labels that come late, the loop, resuming, and gates.

The loop, losses and gates serve students and foundation teachers alike, and know neither. Architectures are in
`learning/networks`; where rows come from and interrupted states are kept is the caller's.
"""
