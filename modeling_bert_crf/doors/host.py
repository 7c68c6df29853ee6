"""Every private name of the host libraries that this package relies on, with the reason.

Libraries may change a name that begins with `_` in any release. Where they offer no public way to do what is needed,
such a name is used nevertheless, and it is listed here. So an upgrade that takes one away is noticed in one place:
`tests/test_host_names.py` looks for each name in the installed libraries, and compares this list with the code.
Nothing but that test imports the list.
"""

from typing import NamedTuple

__all__ = ["PRIVATE", "PrivateName"]


class PrivateName(NamedTuple):
    """Why a private name is needed, and where.

    Attributes:
        reason: what the code does with it, and why no public name does.
        files: in which it is used; those of the package by their place in it.
        parameters: of a function, the first ones, in their order, as far as the code counts on them.
    """

    reason: str
    files: tuple[str, ...]
    parameters: tuple[str, ...] = ()


_TRAINER, _MODEL = "transformers.trainer.Trainer", "transformers.modeling_utils.PreTrainedModel"
_PIPELINE, _CONFIG = "transformers.pipelines.base.Pipeline", "transformers.configuration_utils.PreTrainedConfig"
_RESTARTS, _OWN_TRAINER = ("training/restartable_trainer.py",), ("training/trainer.py",)

PRIVATE: dict[str, PrivateName] = {
    # The model.
    f"{_MODEL}._load_pretrained_model": PrivateName(
        "The only place where the files of weights are known and not yet read: those that are no safetensors or lie "
        "elsewhere are refused there, and the names of the weights are compared with the configuration.",
        ("weights.py",),
        ("model", "state_dict", "checkpoint_files", "load_config", "expected_keys"),
    ),
    f"{_MODEL}._keys_to_ignore_on_load_unexpected": PrivateName(
        "Names the weights of an encoder's checkpoint that a tagger has no use for, so that they are no fault.",
        ("modeling_crf.py", "weights.py"),
    ),
    f"{_MODEL}._keys_to_ignore_on_load_missing": PrivateName(
        "Names the weights that a family's checkpoints may lack, so that they are no fault.", ("weights.py",)
    ),
    f"{_MODEL}._keep_in_fp32_modules_strict": PrivateName(
        "Keeps the CRF in float32 in a model that is loaded in half precision: its sums need the digits.",
        ("modeling_crf.py",),
    ),
    f"{_MODEL}._init_weights": PrivateName(
        "The documented way to say how a model's own modules are initialised.",
        ("modeling_crf.py",),
        ("self", "module"),
    ),
    f"{_MODEL}._auto_class": PrivateName(
        "Says whether the code of a model is saved with it; it is set by the public `register_for_auto_class`, and "
        "nothing public returns it.",
        ("configuration_crf.py", "modeling_crf.py"),
    ),
    f"{_CONFIG}._auto_class": PrivateName("The same of a configuration.", ("configuration_crf.py", "modeling_crf.py")),
    "transformers.modeling_utils._is_hf_initialized": PrivateName(
        "A mark that the host sets on each weight that it has loaded. It is taken from the head of an encoder's "
        "checkpoint, so that the host draws a new one.",
        ("weights.py",),
    ),
    "torch.nn.modules.module.Module._modules": PrivateName(
        "Holds the CRF under its name, while the property of this name keeps its rules up to date.",
        ("modeling_crf.py",),
    ),
    "accelerate.hooks._hf_hook": PrivateName(
        "Says where a model runs whose weights accelerate keeps elsewhere. Nothing public returns it.",
        ("crf.py", "modeling_crf.py"),
    ),
    # The pipeline.
    f"{_PIPELINE}._sanitize_parameters": PrivateName(
        "The documented way to give a pipeline arguments of its own.", ("pipeline_crf.py",), ("self",)
    ),
    f"{_PIPELINE}._forward": PrivateName(
        "The documented name of the step in which a pipeline runs its model.", ("pipeline_crf.py",), ("self",)
    ),
    f"{_PIPELINE}._preprocess_params": PrivateName(
        "The arguments of the constructor for the first step, which those of a call replace.", ("pipeline_crf.py",)
    ),
    f"{_PIPELINE}._forward_params": PrivateName("The same for the second step.", ("pipeline_crf.py",)),
    f"{_PIPELINE}._postprocess_params": PrivateName("The same for the third step.", ("pipeline_crf.py",)),
    f"{_PIPELINE}._batch_size": PrivateName(
        "The argument `batch_size` of the constructor, which is kept by itself.", ("pipeline_crf.py",)
    ),
    # Training.
    f"{_TRAINER}._validate_args": PrivateName(
        "Called before anything is made. Options that do not fit the data are refused there, and not after the first "
        "epoch.",
        _OWN_TRAINER,
        ("self",),
    ),
    f"{_TRAINER}._get_dataloader": PrivateName(
        "Makes all loaders. The last batch may be dropped in training only; the host drops it in evaluation, too.",
        _OWN_TRAINER,
        ("self", "dataset", "description", "batch_size", "sampler_fn", "is_training"),
    ),
    f"{_TRAINER}._get_train_sampler": PrivateName(
        "Chooses the order of the batches, which must depend on seed and epoch alone.",
        _OWN_TRAINER,
        ("self", "train_dataset"),
    ),
    f"{_TRAINER}._get_eval_sampler": PrivateName(
        "Chooses the order in evaluation. The host would give the predictions back sorted by length.",
        _OWN_TRAINER,
        ("self", "eval_dataset"),
    ),
    f"{_TRAINER}._init_training_state": PrivateName(
        "Finds where a resumed run goes on: the only place where its intervals, its patience, the path of its best "
        "weights and the epoch of its sampler can be set right.",
        (*_RESTARTS, *_OWN_TRAINER),
        ("self", "max_steps", "num_update_steps_per_epoch", "num_train_epochs", "resume_from_checkpoint", "trial"),
    ),
    f"{_TRAINER}._maybe_log_save_evaluate": PrivateName(
        "Called after each step, before it is logged, evaluated or saved: where a NaN must stop the run.",
        _RESTARTS,
        ("self", "tr_loss"),
    ),
    f"{_TRAINER}._finalize_training": PrivateName(
        "Called after the last step, where a NaN must stop the run as well.", _RESTARTS, ("self",)
    ),
    f"{_TRAINER}._save_checkpoint": PrivateName(
        "Writes a checkpoint. The seal is written around it, by which a whole checkpoint is known.",
        _RESTARTS,
        ("self", "model", "trial"),
    ),
    f"{_TRAINER}._get_output_dir": PrivateName(
        "The folder of the checkpoints, which is another one in each trial of a hyperparameter search.",
        _RESTARTS,
        ("self", "trial"),
    ),
    f"{_TRAINER}._load_best_model": PrivateName(
        "Loads the best weights; before that they are compared with their digests.", _RESTARTS, ("self",)
    ),
    f"{_TRAINER}._load_from_checkpoint": PrivateName(
        "Reads the weights of a checkpoint. A failure is turned into one sentence.",
        _RESTARTS,
        ("self", "resume_from_checkpoint", "model"),
    ),
    f"{_TRAINER}._load_optimizer_and_scheduler": PrivateName(
        "Reads the state of the optimiser. A failure is turned into one sentence.", _RESTARTS, ("self", "checkpoint")
    ),
    f"{_TRAINER}._load_rng_state": PrivateName(
        "Reads the random state. A failure is turned into one sentence.", _RESTARTS, ("self", "checkpoint")
    ),
    f"{_TRAINER}._tr_loss": PrivateName("The loss since the last line of the log, which must not be NaN.", _RESTARTS),
    f"{_TRAINER}._globalstep_last_logged": PrivateName(
        "The step of that line, since which the loss has become NaN.", _RESTARTS
    ),
    f"{_TRAINER}.save_model._internal_call": PrivateName(
        "Saves a model without pushing it; the run pushes at its end.", ("training/output_folder.py",)
    ),
    "transformers.core_model_loading._weight_conversions": PrivateName(
        "A model keeps there how weights were renamed when it was loaded, and is saved with the names undone. The "
        "classifier of a stock model that has become part of a tagger must keep its new name.",
        ("opening/taking_over.py",),
    ),
    "accelerate.accelerator._is_accelerate_prepared": PrivateName(
        "accelerate 1.15 takes a model that was evaluated before training for one that is ready to train, and then "
        "does not share its gradients between the processes. The mark is taken away after an evaluation.",
        _OWN_TRAINER,
    ),
    # The rest.
    "transformers.utils.hub.PushToHubMixin._upload_modified_files": PrivateName(
        "The only place between writing the files of a push and uploading them, where a true card takes the place of "
        "the host's form.",
        ("hub/pushing.py",),
        ("self", "working_dir", "repo_id"),
    ),
    "evaluate.module.EvaluationModule._info": PrivateName(
        "The documented way to describe a metric.", ("scores/metrics.py",), ("self",)
    ),
    "evaluate.module.EvaluationModule._compute": PrivateName(
        "The documented way to write a metric.", ("scores/metrics.py",), ("self", "predictions", "references")
    ),
    "argparse.ArgumentParser._actions": PrivateName(
        "The options of a parser, with their names and defaults. Nothing public lists them.",
        ("training/arguments.py", "bert_crf_command/options.py"),
    ),
}
"""The private names, each under the module and the class that have it. A mark that the host sets on objects stands
under the module that sets it, and a parameter under its function."""
