// One view of one state, from its first request to the last of its pictures.
import { galleryView } from './gallery-view.js';
import { callerOf, run } from './gateway.js';
import { emptyNotice, errorNotice, missingNotice } from './notices.js';
import { startProgress } from './progress.js';
import { projectView } from './project-view.js';
import { makeReceipt } from './receipt.js';

const REFRESH_PAUSE_MILLISECONDS = 20_000;

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
  #refreshedAt = -Infinity;

  // `place` is the element to fill.
  constructor(state, place) {
    this.#state = state;
    this.#caller = callerOf(state);
    this.#view = state.project === null ? galleryView : projectView;
    this.#place = place;
  }

  // Resolves when the view or a notice is shown; `onRetry` is the action of an error notice.
  async start({ onRetry }) {
    const { data, errors } = await this.#ask(this.#view.operation(this.#state), this.#receipt);
    const found = this.#view.find(data);
    if (errors.length) this.#showNotice(errorNotice(errors[0], { onRetry }));
    else if (found === null) this.#showNotice(missingNotice(this.#state, this.#caller));
    else if (this.#view.isEmpty(found)) this.#showNotice(emptyNotice(this.#state, found.pagination));
    else this.#show(found);
  }

  // Aborts running requests, which throw an AbortError.
  end() {
    this.#ending.abort();
    this.#stopProgress();
  }

  get title() {
    return this.#shown?.title() ?? 'Gallery';
  }

  // The text for screen readers.
  get announcement() {
    return this.#shown?.announcement() ?? this.#place.querySelector('.notice').innerText;
  }

  get heading() {
    return this.#shown?.heading ?? this.#place.querySelector('.notice h1');
  }

  linkTo(projectId) {
    return this.#shown?.linkTo(projectId) ?? null;
  }

  // Links expire at the same time, and one request renews all of them.
  async refreshPictures() {
    if (performance.now() - this.#refreshedAt < REFRESH_PAUSE_MILLISECONDS) return;
    this.#refreshedAt = performance.now();
    await this.#refresh({ bypassesCache: true });
  }

  async #ask(operation, receipt, { bypassesCache = false, signal = this.#ending.signal } = {}) {
    const response = await run(operation, { token: this.#caller.token, signal, bypassesCache });
    receipt.update({ operation, cost: response.cost, caller: this.#caller });
    return response;
  }

  #show(found) {
    const { receipts, root } = (this.#shown = this.#view.make(this.#state));
    receipts.append(this.#receipt.root);
    this.#shown.update(found);
    this.#place.replaceChildren(root);
    if (!this.#shown.isPending()) return;
    const operation = this.#view.progress(this.#state);
    this.#progressReceipt.update({ operation, cost: null, caller: this.#caller });
    receipts.append(this.#progressReceipt.root);
    this.#stopProgress = startProgress((signal) => this.#askProgress(operation, signal));
  }

  #showNotice(notice) {
    this.#place.replaceChildren(notice, this.#receipt.root);
  }

  async #askProgress(operation, signal) {
    const { data } = await this.#ask(operation, this.#progressReceipt, { signal });
    const found = this.#view.find(data);
    // The next attempt may succeed.
    if (found === null) return true;
    if (this.#shown.count(found)) await this.#refresh({ bypassesCache: false });
    return this.#shown.isPending();
  }

  // Keeps the page as it is if the request fails.
  async #refresh({ bypassesCache }) {
    const { data } = await this.#ask(this.#view.operation(this.#state), this.#receipt, { bypassesCache });
    const found = this.#view.find(data);
    if (found !== null && !this.#view.isEmpty(found)) this.#shown.update(found);
  }
}
