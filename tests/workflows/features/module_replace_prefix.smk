# Modularization: prefixes of a module replaced, a rule left out and one changed

module of_module_replace_prefix:
    snakefile: "helpers/module/Snakefile"
    config: {"word": "replaced"}
    replace_prefix: {"module/": "module_replace_prefix/"}
use rule * from of_module_replace_prefix exclude scripted as module_replace_prefix_*
use rule word from of_module_replace_prefix as module_replace_prefix_word with:
    params: word="changed"
rule module_replace_prefix:
    input: "module_replace_prefix/word.txt"
