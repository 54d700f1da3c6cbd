"""What the emulator uses of its own machine: Azurite, certificates, threads, and what killed emulators have left."""
