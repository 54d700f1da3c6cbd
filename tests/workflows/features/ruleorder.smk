# Ambiguous rules: ruleorder

ruleorder: ruleorder_second > ruleorder_first
rule ruleorder:
    input: "ruleorder/x.txt"
rule ruleorder_first:
    output: "ruleorder/{s}.txt"
    shell: "echo first > {output}"
rule ruleorder_second:
    output: "ruleorder/x.txt"
    shell: "echo second > {output}"
