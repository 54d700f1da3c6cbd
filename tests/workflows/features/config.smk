# Configuration: nested values in paths, params and code

rule config:
    input: f"config/{config['nested']['name']}.txt"
rule config_write:
    output: "config/" + config["nested"]["name"] + ".txt"
    params: word=config["word"], number=lambda wildcards: config["numbers"][1] + 1
    shell: "echo {params.word} {params.number} {config[word]} > {output}"
