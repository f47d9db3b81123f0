"""Fetches a checkpoint from the Hugging Face hub: from the local cache, else by download, else one clear error within seconds."""

from pathlib import Path

from facestats_pipeline.core.encoders.errors import EncoderUnavailable

CONNECT_SECONDS = 5.0


def fetch_from_hub(arch: str, tag: str, hub_name: str) -> Path:
    """The weights of an open_clip tag as a local file; safetensors is preferred. `hub_name` is open_clip's `REPO/[FILE]`.

    A single request with a short timeout comes before the download, because the hub's client retries offline: for 23 s on each of two
    file names. Raises EncoderUnavailable.
    """
    import huggingface_hub
    from huggingface_hub.errors import OfflineModeIsEnabled

    repo, _, file = hub_name.rpartition("/")
    names = _file_names(file)
    for name in names:
        cached = huggingface_hub.try_to_load_from_cache(repo, name)
        if isinstance(cached, str):
            return Path(cached)
    reason = "the hub has none of the files " + ", ".join(names)
    try:
        for name in names:
            url = huggingface_hub.hf_hub_url(repo, name)
            answer = huggingface_hub.get_session().head(url, timeout=CONNECT_SECONDS, follow_redirects=True)
            if answer.status_code == 200:
                return Path(huggingface_hub.hf_hub_download(repo, name, etag_timeout=CONNECT_SECONDS))
            if answer.status_code != 404:
                reason = f"the hub answered {answer.status_code} {answer.reason_phrase}"
    except OfflineModeIsEnabled:
        reason = "the variable HF_HUB_OFFLINE is set"
    except Exception as error:  # httpx, ssl, os and the hub raise many types; the remedy is the same
        reason = f"the hub cannot be reached ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    raise EncoderUnavailable(
        f"encoder {arch}/{tag}: {reason}. On a machine with internet fetch the file {names[0]} of "
        f"https://huggingface.co/{repo}, copy it here, and name it as the encoder: {arch}//path/to/{names[0]}"
    )


def _file_names(file: str) -> tuple[str, ...]:
    """File names to try, in open_clip's order: safetensors before the torch file of the same name."""
    if not file:
        return ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    twin = Path(file).with_suffix(".safetensors").name
    return (file,) if twin == file else (twin, file)
