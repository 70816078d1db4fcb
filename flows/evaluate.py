from prefect import flow


@flow(name="evaluate-model")
def evaluate_model(tasks: str = ""):
    import os, sys

    print(os.getcwd(), sys.path[:3], __file__, tasks)
