# Modularization: include, from another folder

include: "helpers/included.smk"
rule include:
    input: "include/x.txt"
