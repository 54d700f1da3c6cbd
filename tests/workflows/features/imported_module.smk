# Configuration: a module that the Snakefile imports from its folder

import sys
sys.path.insert(0, os.path.join(workflow.basedir, "features", "beside"))
from beside_snakefile import greet as greet_of_imported_module
rule imported_module:
    input: "imported_module/x.txt"
rule imported_module_write:
    output: "imported_module/x.txt"
    params: text=greet_of_imported_module("you")
    shell: "echo {params.text} > {output}"
