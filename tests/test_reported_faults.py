"""Faults that users of tools like this one reported, and the test that holds each of them off.

Pins and revisions

- an adapter reloads its base at `main`:
  tests/end_to_end/test_job.py::test_a_release_loads_the_same_by_itself_after_its_base_moved_on
- the adapter's revision is applied to the base:
  tests/card/test_card_snippet.py::test_both_revisions_are_pinned
- the model is pinned, its tokenizer or the list of its files is taken from `main`:
  tests/end_to_end/test_requests.py::test_no_input_is_asked_for_by_anything_but_its_commit_from_pinning_to_the_end
- a dataset has no revision:
  tests/pin/test_pinning.py::test_branch_tag_and_commit_are_understood
- nor can it be a pull request's:
  tests/pin/test_pinning.py::test_a_pull_request_is_pinned_to_the_commit_that_it_is_at
- main holds an adapter and another branch whole weights:
  tests/publish/test_push.py::test_whole_weights_are_not_put_where_an_adapter_was_released
- a push ignores the branch and the message:
  tests/pipeline/test_publishing.py::test_branch_message_and_visibility_of_the_command_line_are_honoured
- rows are lost while the metadata give the full count:
  tests/data/test_prepare.py::test_every_row_is_trained_on_held_out_left_out_or_dropped

Ends of rows, padding and templates

- padding and EOS are one token, so the real EOS is masked and the model never stops:
  tests/data/test_ends_and_masks.py::test_where_padding_is_eos_the_row_s_own_eos_carries_loss_and_padding_does_not
- the last label of a row is not what ends it:
  tests/data/test_ends_and_masks.py::test_the_last_label_of_every_row_is_what_ends_it
- two BOS, one of the template and one of the tokenizer:
  tests/data/test_ends_and_masks.py::test_exactly_one_bos_whatever_chat_template_and_tokenizer_add
- the response marker is tokenized differently in context, and the mask misses it:
  tests/data/test_ends_and_masks.py::test_the_mask_follows_characters_however_a_response_marker_is_tokenised
- or it follows no marks of the template:
  tests/data/test_ends_and_masks.py::test_a_chat_s_mask_is_that_of_the_template_s_own_generation_marks
- the tokenizer loses its chat template or EOS when it is saved:
  tests/data/test_ends_and_masks.py::test_preparing_rows_leaves_the_tokenizer_as_it_was
- truncation removes the response:
  tests/data/test_ends_and_masks.py::test_a_row_whose_response_would_be_cut_off_whole_is_refused
- text of a user opens a turn:
  tests/data/test_control.py::test_a_mark_in_a_message_opens_no_turn

- a chat template that writes roles and contents alone teaches to answer with nothing in place of a tool call:
  tests/data/formats/test_coverage.py::test_a_call_without_content_is_not_learnt_as_nothing
- a chat template hangs the program, or takes the machine's memory:
  tests/templating/test_chat.py::test_what_exceeds_a_limit_is_ended_and_the_limit_named
- the end of a turn is given by the config's chat template, and is no stop token of the release:
  tests/end_to_end/test_formats.py::test_the_end_of_a_turn_is_the_one_of_the_template_that_was_trained_with

Training

- packed rows see each other, and each is taught to begin with the last token of the one before:
  tests/data/test_packing.py::test_a_packed_row_gets_the_logits_that_it_gets_alone
- the same, in the labels:
  tests/data/test_packing.py::test_packed_rows_count_positions_from_0_and_no_row_is_learnt_to_follow_another
- gradient accumulation weighs rows of unequal length unequally:
  tests/train/test_training.py::test_four_micro_batches_of_one_row_learn_what_one_of_four_does
- the newest checkpoint is incomplete, and resuming crashes:
  tests/train/test_checkpoints.py::test_a_run_goes_on_from_the_newest_whole_checkpoint_to_the_same_bytes
- resuming is asked for, and the training begins anew or reads rows twice:
  tests/train/test_checkpoints.py::test_a_resumed_run_holds_the_checkpoint_s_adapter_and_reads_just_the_rows_that_were_left
- the same, for a run that is killed at any moment:
  tests/train/test_checkpoints.py::test_a_killed_run_goes_on_to_the_same_bytes
- the adapter is put around itself again, and the loss jumps:
  tests/train/test_checkpoints.py::test_a_resumed_run_holds_the_checkpoint_s_adapter_and_reads_just_the_rows_that_were_left
- gradients in fp16 cannot be unscaled, since what is trained is in fp16 too:
  tests/train/test_precision.py::test_fp16_gives_the_losses_and_gradients_of_fp32
- bf16 is asked of hardware that lacks it:
  tests/pipeline/test_base_check.py::test_bf16_is_refused_before_the_training_where_the_machine_lacks_it
- and what was chosen in its place is not told:
  tests/models/test_precision.py::test_hardware_without_bf16_falls_back_for_auto_and_refuses_bf16
- saving a checkpoint asks the Hub for something, which ends an offline run:
  tests/train/test_training.py::test_nothing_is_asked_of_the_network_while_training_and_saving_checkpoints
- a large dataset takes all memory, or hangs, when it is tokenised:
  tests/data/test_flat_memory.py::test_many_rows_take_hardly_more_memory_than_few
- the logits of all rows are kept while a model is measured:
  tests/evaluate/test_likelihood.py::test_logits_are_let_go_batch_by_batch
- also while it is trained:
  tests/train/test_held_out.py::test_measuring_many_held_out_rows_takes_no_more_memory_than_few

Publishing

- a local path becomes the base or a dataset, found after the training:
  tests/test_reported_faults.py::test_a_local_path_is_no_base_and_no_data_set
- or the card tells it:
  tests/card/test_card_metadata.py::test_a_local_path_as_base_is_refused_by_the_card
- a file tells a path of the machine:
  tests/end_to_end/test_published_repo.py::test_no_published_file_tells_a_path_or_an_address_of_this_machine
- a bad card is found after the weights were uploaded:
  tests/publish/test_push.py::test_a_card_that_the_hub_does_not_accept_stops_the_release_before_anything_is_sent
- two writers of the card overwrite each other:
  tests/end_to_end/test_published_repo.py::test_the_published_card_is_the_runs_card
- a default license mislabels what is not to be used commercially:
  tests/card/licensing/test_decision.py::test_a_missing_licence_needs_a_signed_reason_which_becomes_a_duty
- intended use and ethics cannot be given:
  tests/test_reported_faults.py::test_every_statement_of_the_author_can_be_given_in_the_config
- a refused commit is sent for ever:
  tests/publish/test_push.py::test_a_hub_that_fails_again_and_again_is_left_alone_after_five_attempts
- also with a token that may only open pull requests:
  tests/pipeline/test_publishing.py::test_who_may_not_push_is_told_of_pull_requests_and_changes_nothing
- an interrupted push leaves a broken repository:
  tests/publish/test_trials.py::test_a_publisher_killed_at_any_request_is_followed_by_one_that_makes_one_release
- and so do two at once:
  tests/publish/test_trials.py::test_of_many_who_want_one_tag_one_gets_it_and_the_others_change_nothing
- the card's snippet loads the base without the adapter:
  tests/end_to_end/test_job.py::test_the_adapter_changes_the_logits
- a gated base fails late, and for a reason that is not told:
  tests/end_to_end/test_hub_errors.py::test_a_gated_base_is_refused_at_the_start_and_says_what_is_lacking
- a push is rejected over a secret in a file:
  tests/pipeline/test_publishing.py::test_a_secret_in_a_statement_stops_the_release_before_any_request
- one in the config, after the training:
  tests/pipeline/test_publishing.py::test_a_secret_in_the_config_is_found_before_training
"""

import re
from pathlib import Path

import pytest

from hubtune.config.schema import STATEMENTS
from hubtune.errors import ConfigError
from tests.sample_runs import sample_config

CHECKOUT = Path(__file__).parents[1]


def test_each_reported_fault_has_its_test():
    named = re.findall(r"^  (tests/\S+\.py)::(test_\w+)$", __doc__ or "", re.MULTILINE)

    missing = [test for path, test in named if f"def {test}(" not in (CHECKOUT / path).read_text(encoding="utf-8")]
    assert missing == []
    assert len(named) == (__doc__ or "").count("\n- ")


@pytest.mark.parametrize(
    "path", ["./base", "../base", "/models/base", "~/base", "C:\\base", "models/base/checkpoint-10"]
)
@pytest.mark.parametrize("key", ["base", "data[0]"])
def test_a_local_path_is_no_base_and_no_data_set(key: str, path: str, tmp_path: Path, monkeypatch):
    # Also where there is such a folder.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/base/checkpoint-10").mkdir(parents=True)

    with pytest.raises(ConfigError) as caught:
        sample_config(f"{key}.repo={path}")

    (fault,) = caught.value.details
    assert fault.startswith(f"{key}.repo: ")
    assert "a local path cannot be used here" in fault


def test_every_statement_of_the_author_can_be_given_in_the_config():
    given = {name: f"What there is to say of {name}." for name in STATEMENTS}
    card = sample_config(*(f"card.{name}={text}" for name, text in given.items())).card

    assert {name: getattr(card, name) for name in STATEMENTS} == given
    assert {"intended_use", "ethics", "bias", "misuse"} <= set(STATEMENTS)
