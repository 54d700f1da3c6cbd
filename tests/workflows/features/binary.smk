# Output of any bytes

rule binary:
    input: "binary/x.bin"
rule binary_write:
    output: "binary/x.bin"
    run:
        with open(output[0], "wb") as f:
            f.write(bytes(range(256)) * 5000)
