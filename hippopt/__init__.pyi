from hippopt.predictor import Prediction as Prediction
from hippopt.predictor import Predictor as Predictor

__version__: str
