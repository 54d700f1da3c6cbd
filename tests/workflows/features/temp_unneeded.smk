# temp(): output that nothing needs

rule temp_unneeded:
    input: "temp_unneeded/kept.txt"
rule temp_unneeded_write:
    output: temp("temp_unneeded/gone.txt"), "temp_unneeded/kept.txt"
    shell: "for f in {output}; do echo x > $f; done"
