"""Entra ID as far as the emulator needs it: one tenant, one application, signed tokens, managed identities."""
