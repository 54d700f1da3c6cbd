# Configuration: a file that the Snakefile opens by its path

with open("features/beside/words.txt") as words_of_opened_file:
    WORDS_OF_OPENED_FILE = words_of_opened_file.read().split()
rule opened_file:
    input: "opened_file/x.txt"
rule opened_file_write:
    output: "opened_file/x.txt"
    params: words=WORDS_OF_OPENED_FILE
    shell: "echo {params.words} > {output}"
