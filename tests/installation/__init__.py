"""What tests and benches run tasks on, each built in one way.

``agents``  a real agent as ``stackyard up`` prepares it, for a server that runs anyhow.
``site``    a server in this process, our client, and such agents: for what is dispatched.
``lab``     a whole installation, brought up by ``stackyard up`` as a user does it: for what breaks.
"""
