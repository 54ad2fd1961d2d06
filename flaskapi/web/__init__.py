"""HTTP: requests read, the rooms below called, outcomes translated. Flask is known here and in
`create_app` alone.
"""
