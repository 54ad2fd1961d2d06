"""HTTP: read requests, call the rooms below, translate results. Only this package and
`create_app` use Flask.
"""
