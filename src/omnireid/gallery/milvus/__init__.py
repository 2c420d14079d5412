"""The gallery store on Milvus: a server or a cluster, through pymilvus."""
