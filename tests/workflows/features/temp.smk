# temp(): goes when all that need it are done

rule temp:
    input: "temp/one.txt", "temp/two.txt"
rule temp_made:
    output: temp("temp/made.txt"), temp(directory("temp/folder"))
    shell: "echo x > {output[0]}; mkdir {output[1]}; echo y > {output[1]}/y"
rule temp_use:
    input: "temp/made.txt", "temp/folder"
    output: "temp/{n}.txt"
    shell: "cat {input[0]} {input[1]}/y > {output}"
