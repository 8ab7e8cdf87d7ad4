from hippopt.recipes.predictor import Prediction as Prediction
from hippopt.recipes.predictor import Predictor as Predictor

__version__: str
