# Path variables: of the workflow, of a rule, of a module

pathvars:
    place_of_pathvars="pathvars/place"
rule pathvars:
    input: "pathvars/place/x.txt", "pathvars/own/x.txt", "pathvars/module/x.txt"
rule pathvars_workflow:
    output: "<place_of_pathvars>/x.txt"
    log: "<place_of_pathvars>/x.log"
    shell: "echo x > {output}; echo said > {log}"
rule pathvars_rule:
    input: "pathvars/place/x.txt"
    output: "<place_of_pathvars>/x.txt"
    pathvars:
        place_of_pathvars="pathvars/own"
    shell: "cat {input} > {output}"
module of_pathvars:
    snakefile: "helpers/module/pathvars.smk"
    pathvars:
        results="pathvars/module"
use rule * from of_pathvars as pathvars_module_*
