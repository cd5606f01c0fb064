// One view of one state, from its question to the last of its pictures.
import { galleryView } from './gallery-view.js';
import { callerOf, run } from './gateway.js';
import { emptyNotice, errorNotice, missingNotice } from './notices.js';
import { startProgress } from './progress.js';
import { projectView } from './project-view.js';
import { makeReceipt } from './receipt.js';

const RENEWAL_PAUSE_MILLISECONDS = 20_000;

export class Visit {
  #state;
  #caller;
  #view;
  #place;
  #ending = new AbortController();
  #receipt = makeReceipt();
  #progressReceipt = makeReceipt({ note: 'every 3 s' });
  #shown = null;
  #stopProgress = () => {};
  #renewedAt = -Infinity;

  // `place` is the element that it fills.
  constructor(state, place) {
    this.#state = state;
    this.#caller = callerOf(state);
    this.#view = state.project === null ? galleryView : projectView;
    this.#place = place;
  }

  // Resolves when there is something to see; `onRetry` is what a notice offers.
  async start({ onRetry }) {
    const { data, errors } = await this.#ask(this.#view.operation(this.#state), this.#receipt);
    const found = this.#view.find(data);
    if (errors.length) this.#showNotice(errorNotice(errors[0], { onRetry }));
    else if (found === null) this.#showNotice(missingNotice(this.#state, this.#caller));
    else if (this.#view.isEmpty(found)) this.#showNotice(emptyNotice(this.#state, found.pagination));
    else this.#show(found);
  }

  // Whatever is still under way throws an AbortError.
  end() {
    this.#ending.abort();
    this.#stopProgress();
  }

  get title() {
    return this.#shown?.title() ?? 'Gallery';
  }

  // What a screen reader is told.
  get told() {
    return this.#shown?.told() ?? this.#place.querySelector('.notice').innerText;
  }

  get heading() {
    return this.#shown?.heading ?? this.#place.querySelector('.notice h2');
  }

  linkTo(projectId) {
    return this.#shown?.linkTo(projectId) ?? null;
  }

  // Many links expire at once, and one question renews them all.
  async renewPictures() {
    if (performance.now() - this.#renewedAt < RENEWAL_PAUSE_MILLISECONDS) return;
    this.#renewedAt = performance.now();
    await this.#renew({ isRenewal: true });
  }

  async #ask(operation, receipt, { isRenewal = false, signal = this.#ending.signal } = {}) {
    const answer = await run(operation, { token: this.#caller.token, signal, isRenewal });
    receipt.update({ operation, bill: answer.bill, caller: this.#caller });
    return answer;
  }

  #show(found) {
    const { receipts, root } = (this.#shown = this.#view.make(this.#state));
    receipts.append(this.#receipt.root);
    this.#shown.update(found);
    this.#place.replaceChildren(root);
    if (!this.#shown.isPending()) return;
    const operation = this.#view.progress(this.#state);
    this.#progressReceipt.update({ operation, bill: null, caller: this.#caller });
    receipts.append(this.#progressReceipt.root);
    this.#stopProgress = startProgress((signal) => this.#askProgress(operation, signal));
  }

  #showNotice(notice) {
    this.#place.replaceChildren(notice, this.#receipt.root);
  }

  async #askProgress(operation, signal) {
    const { data } = await this.#ask(operation, this.#progressReceipt, { signal });
    const found = this.#view.find(data);
    // What cannot be known now may be known the next time.
    if (found === null) return true;
    if (this.#shown.count(found)) await this.#renew({ isRenewal: false });
    return this.#shown.isPending();
  }

  // Quietly: what is on the page stays if nothing better comes.
  async #renew({ isRenewal }) {
    const { data } = await this.#ask(this.#view.operation(this.#state), this.#receipt, { isRenewal });
    const found = this.#view.find(data);
    if (found !== null && !this.#view.isEmpty(found)) this.#shown.update(found);
  }
}
