"""From declared features to what models read: ids as rows of one embedding table and standardised numbers, or a matrix.

No parameter is learnt here but vocabularies and scales. Types of columns and the value that stands for an unknown slot
are in `frames/`, embeddings in `learning/networks`, and which features a student has is declared or chosen in
`selection/`.
"""
