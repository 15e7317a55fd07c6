"""What can go wrong before the server serves."""


class StartError(SystemExit):
    """The server cannot start; the message is one line that says what is wrong and what to do.

    It is a SystemExit, so that a script that calls ``run()`` and catches nothing ends with that
    line on stderr and exit code 1 instead of a traceback.
    """

    def __str__(self) -> str:
        return str(self.code)
