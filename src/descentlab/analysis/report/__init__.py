"""Everything that a report on a store says, as plain data, and its forms that are no page.

``gather`` makes a ``Document``; ``markdown``, ``files`` and ``figures`` write it, and
``descentlab.web.report`` shows it in a browser.
"""
