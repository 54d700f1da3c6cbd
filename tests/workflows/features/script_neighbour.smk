# External scripts: a script that imports a module beside it

rule script_neighbour:
    input: "script_neighbour/x.txt"
rule script_neighbour_write:
    output: "script_neighbour/x.txt"
    script: "helpers/importing.py"
