"""Workers of share groups: jobs from a topic, each of them finished by itself."""
