"""The gallery store on LanceDB: a local folder or object storage, no server."""
