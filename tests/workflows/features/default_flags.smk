# Default flags of output: outputflags and inputflags

module of_default_flags:
    snakefile: "helpers/module/flags.smk"
use rule * from of_default_flags as default_flags_*
rule default_flags:
    input: "default_flags/end.txt"
