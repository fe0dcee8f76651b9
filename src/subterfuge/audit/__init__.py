"""The whole examination of a victim: accuracy, attacks of every access, corruptions, certificates, sanity."""
