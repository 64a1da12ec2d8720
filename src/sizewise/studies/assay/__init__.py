"""Would an edge of sizing be found? One is planted on the real bars, and the production learner and test look for it.

- plant: states that are drawn, and bars whose returns follow them
- report: notebook 16: tables, figures and sentences
- study: replications, and the edge in standard errors of the primary test
"""
