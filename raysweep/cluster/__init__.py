"""The only room that imports ray: hosts, Tune's side of the search, and jobs on a cluster."""
