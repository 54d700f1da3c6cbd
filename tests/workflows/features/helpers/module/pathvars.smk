rule write:
    output: "<results>/x.txt"
    shell: "echo module > {output}"
