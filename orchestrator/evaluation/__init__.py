"""One generation through the services: genomes in, pictures and objective values out."""
