# Semantic helpers: subpath()

rule subpath:
    input: "subpath/deep/x.tar.gz"
rule subpath_write:
    output: "subpath/deep/x.tar.gz"
    params: base=subpath(output[0], basename=True), stem=subpath(output[0], strip_suffix=".tar.gz", basename=True)
    shell: "echo {params.base} {params.stem} > {output}"
