"""Files of pretrained models, which strangers wrote: looked at before anything of them is believed."""

from jaxbackprop.data import DataError as DataError

from ._asset_table import ASSETS as ASSETS
from ._assets import asset_folder as asset_folder
from ._assets import fetch_asset as fetch_asset
from ._assets import find_asset as find_asset
from ._bert_config import HIDDEN_ACTIVATIONS as HIDDEN_ACTIVATIONS
from ._bert_config import BertConfig as BertConfig
from ._bert_config import read_config as read_config
from ._bert_folder import BertFolder as BertFolder
from ._bert_folder import look_at_bert as look_at_bert
from ._tensors import FLOATS as FLOATS
from ._tensors import Entry as Entry
from ._tensors import TensorFile as TensorFile
from ._tensors import as_float32 as as_float32
from ._tokenizer import BertTokenizer as BertTokenizer
from ._tokenizer import Encoded as Encoded
from ._tokenizer import EncodedWords as EncodedWords
from ._tokenizer import load_tokenizer as load_tokenizer
from ._tokenizer import tokenizer_from_text as tokenizer_from_text
from ._tokenizer_files import has_tokenizer as has_tokenizer
