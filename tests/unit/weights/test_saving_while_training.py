"""A module is saved while another thread writes to its parameters: the file can be read."""

import threading

import torch

from gatewise.weights import load_lstm, save_lstm


def test_a_model_saved_while_it_trains_is_whole(tmp_path):
    lstm, stop = torch.nn.LSTM(64, 128), threading.Event()

    def train():
        with torch.no_grad():
            while not stop.is_set():
                for p in lstm.parameters():
                    p.add_(1e-3)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for k in range(20):
            save_lstm(lstm, tmp_path / f"{k}.safetensors")
            load_lstm(tmp_path / f"{k}.safetensors")  # raises if its checksum is not that of it
    finally:
        stop.set()
        thread.join()
