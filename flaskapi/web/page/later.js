// Pictures that wait on this device until the service can be reached.

const open = () =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open("flaskapi", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("later", { autoIncrement: true });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

async function run(mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction("later", mode);
      const request = work(transaction.objectStore("later"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

// The bytes rather than the file: a file that is moved or erased meanwhile could not be read any more.
export const put = async (file) => {
  const content = await file.arrayBuffer();
  return run("readwrite", (store) => store.add({ name: file.name, type: file.type, content }));
};
export const count = () => run("readonly", (store) => store.count());
export const discard = () => run("readwrite", (store) => store.clear());
export const remove = (place) => run("readwrite", (store) => store.delete(place));

/** Gives all that wait, each with its `place`, by which it is removed once it was answered. */
export async function list() {
  const places = await run("readonly", (store) => store.getAllKeys());
  const found = await run("readonly", (store) => store.getAll());
  return found.map(({ name, type, content }, index) =>
    Object.assign(new File([content], name, { type }), { place: places[index] }));
}
