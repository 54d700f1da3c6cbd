# Notebooks: a Jupyter notebook that reads input, params and config

rule notebook:
    input: "notebook/counts.txt"
rule notebook_count:
    input: words="in/a.txt"
    output: "notebook/counts.txt"
    params: factor=3
    threads: 2
    notebook: "helpers/counts.py.ipynb"
